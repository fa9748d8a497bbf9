package report

// SetMostMembers sets how many records are kept in memory, until the function that it
// returns is called.
func SetMostMembers(n int) (restore func()) {
	was := mostMembers
	mostMembers = n
	return func() { mostMembers = was }
}
