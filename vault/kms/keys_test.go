package kms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kms"
)

const (
	awsKey   = "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	awsAlias = "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-security"
	gcpKey   = "gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/security"
	hcKey    = "hcvault://vault.example.com:8200/transit/keys/onlyfor-security"
)

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		uri, location, name string
		service             kms.Service
	}{
		{awsKey, "eu-central-1", strings.TrimPrefix(awsKey, "aws-kms://"), kms.AWS},
		{awsAlias, "eu-central-1", strings.TrimPrefix(awsAlias, "aws-kms://"), kms.AWS},
		{"aws-kms://arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", "us-gov-west-1",
			"arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", kms.AWS},
		{"aws-kms://arn:aws-eusc:kms:eusc-de-east-1:111122223333:alias/a/b", "eusc-de-east-1", "arn:aws-eusc:kms:eusc-de-east-1:111122223333:alias/a/b", kms.AWS},
		{gcpKey, "europe-west3", strings.TrimPrefix(gcpKey, "gcp-kms://"), kms.GCP},
		{"gcp-kms://projects/example.com:keys-1/locations/global/keyRings/R_1/cryptoKeys/K", "global", "projects/example.com:keys-1/locations/global/keyRings/R_1/cryptoKeys/K", kms.GCP},
		{"gcp-kms://projects/123456789/locations/us/keyRings/r/cryptoKeys/k", "us", "projects/123456789/locations/us/keyRings/r/cryptoKeys/k", kms.GCP},
		{hcKey, "vault.example.com:8200", "transit/keys/onlyfor-security", kms.HCVault},
		{"hcvault://localhost/team/ns/transit/keys/k", "localhost", "team/ns/transit/keys/k", kms.HCVault},
		{"hcvault://localhost/t/keys/keys/keys", "localhost", "t/keys/keys/keys", kms.HCVault},
	} {
		k, err := kms.ParseKey(c.uri)
		require.NoError(t, err, c.uri)
		require.Equal(t, c.uri, k.String())
		require.Equal(t, c.service, k.Service())
		require.Equal(t, c.location, k.Location())
		require.Equal(t, c.name, k.Name())
	}
	require.Empty(t, kms.Key{}.String())
}

// hostile are URIs that could mean something else to a service, a policy, a path
// or a shell. No error repeats them.
var hostile = map[string]string{
	"empty":                         "",
	"no scheme":                     "arn:aws:kms:eu-central-1:111122223333:alias/x",
	"other scheme":                  "https://vault.example.com/transit/keys/x",
	"scheme in capitals":            "AWS-KMS://arn:aws:kms:eu-central-1:111122223333:alias/x",
	"leading blank":                 " " + awsAlias,
	"trailing newline":              awsAlias + "\n",
	"trailing newline of GCP":       gcpKey + "\n",
	"trailing newline of Vault":     hcKey + "\n",
	"wildcard alias":                "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/*",
	"wildcard key":                  "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/*",
	"one-letter wildcard":           "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/x?",
	"policy variable":               "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/${aws:username}",
	"wildcard account":              "aws-kms://arn:aws:kms:eu-central-1:*:alias/x",
	"wildcard region":               "aws-kms://arn:aws:kms:*:111122223333:alias/x",
	"no region":                     "aws-kms://arn:aws:kms::111122223333:alias/x",
	"region that is a host":         "aws-kms://arn:aws:kms:evil.example/:111122223333:alias/x",
	"other AWS service":             "aws-kms://arn:aws:s3:eu-central-1:111122223333:alias/x",
	"alias of AWS's own key":        "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/aws/s3",
	"quote in alias":                "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/x\"",
	"bare key id":                   "aws-kms://1234abcd-12ab-34cd-56ef-1234567890ab",
	"placeholder left":              "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/{purpose}",
	"one version of a key":          gcpKey + "/cryptoKeyVersions/1",
	"no key":                        "gcp-kms://projects/example/locations/global/keyRings/r",
	"path escape of GCP":            "gcp-kms://projects/example/locations/global/keyRings/../cryptoKeys/k",
	"shell in GCP":                  "gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/$(id)",
	"quote in GCP":                  "gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/k'",
	"token in URI":                  "hcvault://hvs.sEcReT@vault.example.com/transit/keys/x",
	"query":                         hcKey + "?token=sEcReT",
	"fragment":                      hcKey + "#x",
	"path escape of Vault":          "hcvault://vault.example.com/transit/../sys/keys/x",
	"empty segment":                 "hcvault://vault.example.com//keys/x",
	"no mount":                      "hcvault://vault.example.com/keys/x",
	"wildcard of Vault":             "hcvault://vault.example.com/transit/keys/*",
	"segment wildcard of Vault":     "hcvault://vault.example.com/+/keys/x",
	"percent-encoding":              "hcvault://vault.example.com/transit%2Fkeys/keys/x",
	"key name ends in a dash":       "hcvault://vault.example.com/transit/keys/x-",
	"quote in Vault":                "hcvault://vault.example.com/transit/keys/x\"",
	"too long":                      "hcvault://vault.example.com/" + strings.Repeat("a/", 1000) + "keys/x",
	"key in a script of other look": "gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/\u0430ds",
}

func TestParseKeyRefuses(t *testing.T) {
	for name, uri := range hostile {
		t.Run(name, func(t *testing.T) {
			k, err := kms.ParseKey(uri)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.NotContains(t, err.Error(), "sEcReT")
			require.NotContains(t, err.Error(), "\n")
			require.Zero(t, k)

			_, err = kms.URIs{security: uri}.Key(security)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.NotContains(t, err.Error(), "sEcReT")
			require.ErrorIs(t, kms.Check(kms.URIs{security: uri}, kms.AWS), vault.ErrInvalid)
			require.ErrorIs(t, kms.Check(kms.Template(uri+"{purpose}{"), kms.HCVault), vault.ErrInvalid)
		})
	}
}

func TestTemplate(t *testing.T) {
	long := purpose.MustParse(strings.Repeat("p", purpose.MaxLen))
	for name, c := range map[string]struct {
		template kms.Template
		purpose  purpose.Purpose
		want     string // "" for ErrInvalid
	}{
		"puts the purpose in":              {"gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/{purpose}", billing, "gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/billing"},
		"puts it in twice":                 {"hcvault://localhost/{purpose}/keys/{purpose}", billing, "hcvault://localhost/billing/keys/billing"},
		"takes the longest name":           {"aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}", long, "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-" + long.String()},
		"refuses what is one key for all":  {kms.Template(awsAlias), billing, ""},
		"refuses a key beyond the service": {"gcp-kms://projects/example/locations/global/keyRings/r/cryptoKeys/onlyfor-{purpose}", long, ""},
		"refuses a name the service can't": {"hcvault://localhost/transit/keys/{purpose}", purpose.MustParse("a-"), ""},
		"refuses other braces":             {"hcvault://localhost/transit/keys/{purpose}{role}", billing, ""},
		"refuses the zero purpose":         {"hcvault://localhost/transit/keys/x{purpose}", purpose.Purpose{}, ""},
		"refuses nothing":                  {"", billing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := c.template.Key(c.purpose)
			if c.want == "" {
				require.ErrorIs(t, err, vault.ErrInvalid)
				require.Zero(t, k)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, k.String())
		})
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		keys    kms.Keys
		service kms.Service
		ok      bool
	}{
		"template":                   {kms.Template("hcvault://localhost/transit/keys/{purpose}"), kms.HCVault, true},
		"template of another":        {kms.Template("hcvault://localhost/transit/keys/{purpose}"), kms.AWS, false},
		"project for each purpose":   {kms.Template("gcp-kms://projects/{purpose}/locations/global/keyRings/r/cryptoKeys/k"), kms.GCP, true},
		"malformed template":         {kms.Template("{purpose}"), kms.AWS, false},
		"map":                        {kms.URIs{security: awsKey, billing: awsAlias}, kms.AWS, true},
		"map of two services":        {kms.URIs{security: awsKey, billing: gcpKey}, kms.AWS, false},
		"map with one key for two":   {kms.URIs{security: awsKey, billing: awsKey}, kms.AWS, false},
		"map with one malformed":     {kms.URIs{security: awsKey, billing: "x"}, kms.AWS, false},
		"map with the zero purpose":  {kms.URIs{security: awsKey, {}: awsAlias}, kms.AWS, false},
		"empty map":                  {kms.URIs{}, kms.AWS, false},
		"nil map":                    {kms.URIs(nil), kms.AWS, false},
		"nil":                        {nil, kms.AWS, false},
		"service that nobody knows":  {kms.URIs{security: awsKey}, "azure", false},
		"service that is not stated": {kms.URIs{security: awsKey}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := kms.Check(c.keys, c.service)
			if c.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, vault.ErrInvalid)
			}
		})
	}
}

func TestURIsWithoutThePurpose(t *testing.T) {
	_, err := kms.URIs{security: awsKey}.Key(billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.EqualError(t, err, "kms: no URI for billing: no usable keys")
	require.NotErrorIs(t, err, vault.ErrAccessDenied, "nobody was asked")
	_, err = kms.URIs{security: awsKey}.Key(purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
}

// A URI that is accepted says the same when it is printed, and nothing in it is
// special to a shell, JSON, HCL or IAM.
func FuzzParseKey(f *testing.F) {
	for _, uri := range []string{awsKey, awsAlias, gcpKey, hcKey} {
		f.Add(uri)
	}
	for _, uri := range hostile {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		k, err := kms.ParseKey(uri)
		if err != nil {
			require.ErrorIs(t, err, vault.ErrInvalid)
			return
		}
		require.Equal(t, uri, k.String())
		require.NotEmpty(t, k.Location())
		require.False(t, strings.ContainsAny(uri, " \t\r\n\"'`\\$*?+(){}[];&|<>%#@,!~^"), "special character")
		require.NotContains(t, uri, "/../")
	})
}
