"""The long forms of the tests of outages: the studio's launcher, on real databases, while parts of it fail."""
