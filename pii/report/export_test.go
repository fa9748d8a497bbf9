package report

// SetMostMembers sets how many records are kept in memory, until the function that it
// returns is called.
func SetMostMembers(n int) (restore func()) {
	was := mostMembers
	mostMembers = n
	return func() { mostMembers = was }
}

// SetMaxShapes sets how many shapes are kept, until the function that it returns is called.
func SetMaxShapes(n int) (restore func()) {
	was := maxShapes
	maxShapes = n
	return func() { maxShapes = was }
}
