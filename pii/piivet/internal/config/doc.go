// Package config reads .piivet.json. This file has the facts that piivet can't find in
// code: the packages that declare purposes, the packages that may reveal values, and the
// packages that serve certain purposes only.
//
//	{
//	  "purposes":   ["example.com/shop/purposes"],
//	  "reveal":     ["example.com/shop/mail", "example.com/shop/sms/..."],
//	  "boundaries": {"example.com/shop/ads/...": ["advertising"]}
//	}
//
// All members are optional. The file stands beside go.mod, and the rules report findings
// in the packages of that module only. Patterns may also name packages of other modules,
// for calls from this module to them.
//
// # go vet's cache
//
// go vet caches the findings of a package under the identity of the tool, the flags and
// the sources of the package. The file is none of these: after a change of the file, go
// vet would answer from its cache. [VersionLine] therefore makes the file part of the
// identity of the tool. go vet asks for the identity once in each run, in the directory
// where it was started.
package config
