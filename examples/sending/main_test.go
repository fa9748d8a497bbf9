package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const output = `1. A code by SMS
   gateway got  To=+14155552671
   program got  201 Created {"sid":"SM1","status":"queued","to":"‹sealed phone›"}
2. The gateway does not serve the number, and quotes it
   gateway got  To=+15005550001
   program got  400 Bad Request {"code":21211,"message":"Invalid 'To' Phone Number: ‹sealed phone›","status":400}
3. A code through a mail API
   gateway got  email alice@example.com
   program got  202 Accepted
4. A code through a mail server
   gateway got  RCPT TO:<alice@example.com>
   gateway got  To: alice@example.com
   program got  taken
5. The mail server knows nobody of this name, and quotes the address
   gateway got  RCPT TO:<nobody@example.com>
   program got  550 5.1.1 <‹sealed address›>: User unknown
6. Refused before a value leaves
   error        Post "https://api.sms.example/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json": egress: sealed value outside the declared fields
   error        Post "https://api.sms.example/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json": egress: form field To: pii: sending phone: collected for advertising, not security
   error        Post "https://elsewhere.example/": egress: no rule for this request
7. The audit log
                allowed of phone for security to api.sms.example
                allowed of phone for security to api.sms.example
                allowed of email for security to api.mail.example
                allowed of email for security to smtp.example
                allowed of email for security to smtp.example
                denied of phone for security to api.sms.example
`

// The program gets sealed text back from each gateway, and nothing else.
func TestRun(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, output, out.String())
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "gateway got") {
			for _, plain := range []string{"4155552671", "5005550001", "alice@", "nobody@"} {
				require.NotContains(t, line, plain)
			}
		}
	}
}
