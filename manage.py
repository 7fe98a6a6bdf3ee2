#!/usr/bin/env python
"""Django's command line for Proshop."""

import os
import sys

if __name__ == "__main__":
    from proshop import env

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", env.settings_module())

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
