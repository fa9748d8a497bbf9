// Package value implements the rules about the use of sealed values: they are not compared
// by their bytes, not embedded beside other fields, and their errors are not discarded.
package value
