// Package config reads .piivet.json, the file that tells piivet what no code
// can: which packages declare purposes, which may reveal, and which serve some
// purposes only.
//
//	{
//	  "purposes":   ["example.com/shop/purposes"],
//	  "reveal":     ["example.com/shop/mail", "example.com/shop/sms/..."],
//	  "boundaries": {"example.com/shop/ads/...": ["advertising"]}
//	}
//
// All members are optional. The file stands beside go.mod and speaks for the
// packages of that module. Of packages of other modules it says what they are
// when code of this one calls them, and never reports anything in them.
//
// # go vet's cache
//
// go vet keeps the findings of a package under the identity of the tool, the
// flags and the sources of the package. The file is none of these, so a tool
// that only read it would answer from before it was changed. [VersionLine] makes
// it part of the identity of the tool, which go vet asks for once in each run,
// in the directory where it was started.
package config
