//! Whole transactions on throwaway trees.

mod accounts;
mod confirming;
mod crash;
mod killed;
mod service;
mod transaction;
mod tree;
