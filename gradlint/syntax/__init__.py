"""From text to the intermediate representation."""
