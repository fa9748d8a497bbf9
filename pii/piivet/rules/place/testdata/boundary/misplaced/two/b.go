//piivet:purpose billing // want `package is for advertising and security by another comment, and for billing by this one: say it once`
package two
