//piivet:purpose security advertising
package two
