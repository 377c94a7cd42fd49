mod cyclonus;
mod facts;
mod reading;
