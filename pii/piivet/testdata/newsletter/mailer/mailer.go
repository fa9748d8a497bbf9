// Package mailer has never heard of the library.
package mailer

import "net/smtp"

// Send sends a letter.
func Send(to, text string) error {
	return smtp.SendMail("localhost:25", nil, "shop@example.com", []string{to}, []byte(text))
}
