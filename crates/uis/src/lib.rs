//! Userspace internet simulation: real TCP/IP stacks in one process, over an internet that the test drives
