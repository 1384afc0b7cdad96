// Package access decides who may take part in a farm: tokens that let a machine
// join once, the machines that did, the certificates that a coordinator is known
// by, and the files that either side keeps of it.
package access
