"""The ground: Pydantic models of the API and nothing else.

Nothing here reads a clock, a socket, a file or a random number. Everybody may import it; it imports no floor.
"""
