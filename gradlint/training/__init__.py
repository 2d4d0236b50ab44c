"""How code trains: the ordered events of every step, on objects that are told apart."""
