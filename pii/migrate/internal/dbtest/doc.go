// Package dbtest runs the tests of package migrate on real databases. It is a
// module of its own, so that their drivers are no concern of the root module.
package dbtest
