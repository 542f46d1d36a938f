"""samkit: the whole of Segment Anything in one package."""
