module github.com/jbcnet/jbc/hashing/_asm

go 1.26
