package config

// Parse lets the fuzz test leave out the file system.
var Parse = parse
