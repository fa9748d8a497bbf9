//piivet:purpose advertising // want `comment in a test binds nothing: write it above a package clause of the package`
package test
