/** The build form and version of this program; tools/build/build replaces the values between the @. */
export const BUILD_FORM: string = "@form@";
export const BUILD_COMMIT: string = "@commit@";
