"""One decoder, two teachers: a VAE and a GAN trained on the same generator and compared fairly.

Importing the package is cheap: torch and Lightning are imported by the modules that need them.
"""

__version__ = "0.1.0"
