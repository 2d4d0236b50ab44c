"""The version of gradlint."""

VERSION = "0.1.0"
