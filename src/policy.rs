//! Rules, plans, calendar and reply texts, compiled and swapped as one, with a hash (I15).
