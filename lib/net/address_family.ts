/** Families of socket addresses, as Linux numbers them. */
export const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
