// Package gpu tries nonces on graphics cards and whatever else CUDA and OpenCL offer.
//
// [Find] lists the devices of this machine, [Open] makes one ready, and
// [Device.Scan] does what a kernel of package hashing does: it reports every hit of an
// interval. The program that a device runs is kernel.cl, which its driver compiles, or
// for CUDA what clang has made of it. Nothing is linked: the libraries are looked for when
// [Find] is called, and a machine without them simply has no devices.
//
// A device only judges the top word of a hash. Every nonce that it reports is hashed
// again on the CPU, by the specification, so that a device which errs adds no hit.
//
// The tag nogpu leaves all of it out; then, and on systems that no library is
// loaded on, Find says so.
package gpu
