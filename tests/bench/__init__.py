"""The benchmark of the contract: real processes, real disk, figures beside what the disk can do."""
