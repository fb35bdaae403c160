"""What commands do, where that is more than one call: their modules beside this folder only say what they take."""
