"""The second factor of staff: an app's codes, and recovery codes for when the phone is gone."""
