// Package mailtest has no code. Its tests send mail to the server of
// github.com/emersion/go-smtp, so that this module is the only one that depends on it.
package mailtest
