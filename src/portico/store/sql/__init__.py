"""SqlStore: one implementation for SQLite, PostgreSQL, MySQL and MariaDB; one file for each noun that it keeps."""
