"""The deploy wing: from an installed driver to a verified stack, without torch or numpy."""
