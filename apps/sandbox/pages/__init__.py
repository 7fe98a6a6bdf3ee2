"""The pages a buyer sees: pay, authenticate, done."""
