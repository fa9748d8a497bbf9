package vault

import "fmt"

// printLabel writes a label as fmt writes a string, with the width, precision
// and flags of the verb. Verbs other than %q count as %s: the hex digits of a
// label would look like bytes of a key.
func printLabel(f fmt.State, verb rune, label string) {
	if verb != 'q' {
		verb = 's'
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), label)
}
