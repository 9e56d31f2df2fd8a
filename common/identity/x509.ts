/**
 * The X.509 library, to be imported from here only: it needs the reflection polyfill loaded before itself, and says so
 * only by throwing at start.
 */
import 'reflect-metadata';

export * from '@peculiar/x509';
