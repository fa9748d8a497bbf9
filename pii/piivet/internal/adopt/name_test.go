package adopt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/adopt"
)

func TestNameOf(t *testing.T) {
	for kind, names := range map[adopt.Kind]string{
		adopt.Email: "Email email EMAIL E_Mail EMail e_mail Mail EmailAddress email_address EmailAddr Emailaddress MailAddress UserEmail PrimaryEmail ContactEmail " +
			"BackupEMail BillingEmail EmailLower LowerEmail EmailAddress2 Email1 Emails OldEmail AuthorEmail FromEmail PaypalEmail",
		adopt.Phone: "Phone phone PhoneNumber phone_number PHONE_NUMBER Phonenumber PhoneNo MobilePhone Mobile mobile MobileNumber Telephone CellPhone cellphone " +
			"HomePhone WorkPhone PhoneE164 UserMobile MSISDN Phones ContactPhone",
		"": "Emailed EmailVerified EmailToken EmailTemplate EmailSubject EmailHash HashedEmail EmailDomain EmailHost EmailEnabled SendEmail HasEmail IsMobile " +
			"UseEmail VerifyEmail EmailID PhoneModel PhoneCountryCode PhoneType Microphone Headphone Mailer Mailbox MailServer Gmail Hotmail ThreeEmailsSent " +
			"Name Address Number Tel IPhone EmailVerificationCode EmailedAt NoEmail LayoutMobile Female Homepage _ x 2fa",
	} {
		for name := range strings.FieldsSeq(names) {
			got, ok := adopt.NameOf(name)
			require.Equal(t, kind != "", ok, name)
			require.Equal(t, kind, got, name)
		}
	}
}

func TestTags(t *testing.T) {
	for rule, c := range map[string]struct {
		tag          string
		stored, sent []string
		looked       bool
	}{
		"none":                            {"", nil, nil, false},
		"stored and sent":                 {`json:"email" db:"email"`, []string{"db"}, []string{"json"}, false},
		"left out of JSON":                {`json:"-" gorm:"size:255"`, []string{"gorm"}, nil, false},
		"left out with an option":         {`bson:"-,omitempty"`, nil, nil, false},
		"left out of GORM, all of it":     {`gorm:"-:all"`, []string{"gorm"}, nil, false},
		"unique in GORM":                  {`gorm:"uniqueIndex"`, []string{"gorm"}, nil, true},
		"unique in xorm":                  {`xorm:"VARCHAR(100) UNIQUE NOT NULL"`, []string{"xorm"}, nil, true},
		"an index in xorm":                {`xorm:"index(s)"`, []string{"xorm"}, nil, true},
		"a name with unique in it is not": {`db:"nonunique"`, []string{"db"}, nil, false},
		"malformed":                       {`db`, nil, nil, false},
	} {
		t.Run(rule, func(t *testing.T) {
			stored, sent := adopt.Tags(c.tag)
			require.Equal(t, c.stored, stored)
			require.Equal(t, c.sent, sent)
			require.Equal(t, c.looked, adopt.LookedUp(c.tag))
		})
	}
}

func TestColumnOf(t *testing.T) {
	for rule, c := range map[string]struct {
		name, tag string
		kind      adopt.Kind
	}{
		"a column by its first word":               {"EmailChange", `db:"new_email"`, adopt.Email},
		"with options":                             {"Contact", `bson:"phone_number,omitempty"`, adopt.Phone},
		"of GORM, by its key":                      {"Contact", `gorm:"size:255; Column: new_email ;unique"`, adopt.Email},
		"of GORM, another key":                     {"Contact", `gorm:"comment:email"`, ""},
		"of xorm, in quotes":                       {"Contact", `xorm:"varchar(255) 'new_email' notnull"`, adopt.Email},
		"of xorm, without":                         {"Contact", `xorm:"email varchar(255)"`, ""},
		"of xorm, a quote that is not closed":      {"Contact", `xorm:"'email"`, ""},
		"of the second of two tags":                {"Contact", `db:"contact" bun:"email"`, adopt.Email},
		"of an encoder, too":                       {"Contact", `json:"email,omitempty"`, adopt.Email},
		"not of a field that is said to be a hash": {"EmailHash", `db:"email"`, ""},
		"nor an index":                             {"ByIndex", `db:"email"`, ""},
		"an option is no column":                   {"Topic", `db:"topic,email"`, ""},
		"none":                                     {"Contact", ``, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			kind, ok := adopt.ColumnOf(c.name, c.tag)
			require.Equal(t, c.kind, kind)
			require.Equal(t, c.kind != "", ok)
		})
	}
}

func TestColumnName(t *testing.T) {
	for tag, want := range map[string]string{
		``: "new_email", `db:"Email,unique"`: "email", `gorm:"column:mail;unique"`: "mail", `gorm:"unique"`: "new_email", `json:"x"`: "new_email",
		`xorm:"varchar(9) 'm'"`: "m", `db:"-"`: "new_email",
	} {
		require.Equal(t, want, adopt.ColumnName("NewEmail", tag), tag)
	}
}
