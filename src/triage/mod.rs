//! Message × Arrival × Facts × Site × Policy → Decision.
