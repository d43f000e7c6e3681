# Types of the parts of APScheduler 3.11 that dnslb uses; the library has none of its own.
