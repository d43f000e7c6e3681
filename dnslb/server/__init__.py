"""The data plane: worker processes that answer, and the controller's side of them."""
