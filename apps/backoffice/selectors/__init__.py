"""What the back office reads: figures, what needs attention, an order's story."""
