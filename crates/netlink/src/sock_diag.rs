//! Sockets that wait for somebody: listening TCP, bound UDP, and their like, by `sock_diag(7)`.
