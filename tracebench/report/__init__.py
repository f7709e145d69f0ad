"""What people see: each report is a pure function of a Result."""
