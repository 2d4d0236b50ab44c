"""The worker: builds models and measures their gradients, in a process of its own.

It runs under the interpreter of the project that is verified and therefore needs nothing but that
interpreter (3.9 or later), its standard library and torch (2.1 or later). It imports nothing of gradlint.
"""
