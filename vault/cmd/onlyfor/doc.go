// Command onlyfor operates a vault without a line of Go: it makes, rotates, retires and
// destroys keys, seals and reveals one value, reads a value without keys, moves the tables
// of a company to sealed values and to new keys, erases people, and checks the health of
// all that. A configuration file without secrets names the key store, the key-encryption
// keys, the tables and the roles.
//
//	onlyfor init
//	onlyfor doctor
//
// README.md has the first five minutes, and onlyfor --help has the commands. The exit code
// is 0 if all is well, 1 for a finding or a refusal, and 2 for a mistake in the command line
// or in its environment.
package main
