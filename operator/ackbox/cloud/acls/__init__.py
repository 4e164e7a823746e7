"""AccessControlLists: their ids, and what is wrong with their entries."""
