"""What a webhook costs when it does no more than it must: the shop's figures are read beside these."""
