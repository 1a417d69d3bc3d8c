"""Property tests are judged by what they find, not by how busy the machine is: no deadline for a single example."""

from hypothesis import settings

settings.register_profile("portico", deadline=None)
settings.load_profile("portico")
