"""The rules of gradlint, one file each."""
