"""The API that MindFormers users know, on Paddock's own inference engine."""
