"""The central log: takes records of every chain, numbers them, signs for what it holds."""
